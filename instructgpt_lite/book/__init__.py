"""What only chapters import: source on the page, figures in one style, widgets."""
