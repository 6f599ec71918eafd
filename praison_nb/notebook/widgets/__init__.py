"""Widgets: badges, the chat, the table of sessions."""
