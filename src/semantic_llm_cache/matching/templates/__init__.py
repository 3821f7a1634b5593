"""Long prompts made from one template: what is the template, what differs, and whether the difference matters."""
