"""What pages are made of, without HTML and without HTTP."""
