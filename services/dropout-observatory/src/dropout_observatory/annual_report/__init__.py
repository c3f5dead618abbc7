"""The annual report: a document of one frozen release, in HTML and PDF with its figures beside it, the same bytes whoever makes it."""
