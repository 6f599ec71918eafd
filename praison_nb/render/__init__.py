"""What a Turn looks like as text and as HTML; everything that a model or a tool wrote is escaped here."""
