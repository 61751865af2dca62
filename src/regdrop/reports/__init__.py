"""Records in; Markdown, PNG and HTML out."""
