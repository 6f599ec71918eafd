
// The table of sessions. This text follows live.js in one module and adds a view to it.

/** A session. */
class RowView {
  constructor(numbers) {
    this.numbers = numbers;
    this.element = make("tr");
  }

  update({ cells, status }) {
    this.element.replaceChildren(...cells.map((text, index) => {
      const cell = make("td", this.numbers.includes(index) ? "pnb-number" : "");
      cell.append(index === 1 ? make("span", `pnb-state pnb-${status}`, text) : text);
      return cell;
    }));
  }
}

class TableView extends TurnView {
  constructor(send) {
    super(send);
    this.element = make("div", "pnb-sessions");
    this.table = make("table");
    this.head = make("thead");
    this.list = make("tbody");
    this.table.append(this.head, this.list);
    this.note = make("p");
    this.element.append(this.table, this.note);
    this.panel = { update: () => {}, tick: () => {} };
  }

  update(state, patches) {
    const { headers, note } = state.panel;
    this.numbers = state.panel.numbers;
    if (!this.head.children.length) {
      this.head.append(make("tr"));
      this.head.firstChild.append(...headers.map((name, i) => make("th", this.numbers.includes(i) ? "pnb-number" : "", name)));
    }
    this.table.hidden = !state.items.length;
    setText(this.note, note);
    super.update(state, patches);
  }

  make() {
    return new RowView(this.numbers);
  }
}

VIEWS.sessions = (send) => new TableView(send);
