"""What both web faces (observer, scheduler) share: base template, stylesheet, script, pictures and safe text; what a
request asks for, taken apart and bounded; the shape of answers, streams of events, `/metrics`; protection."""
