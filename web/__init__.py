"""What both web faces (observer, scheduler) share: base template, stylesheet, script, pictures and safe text."""
