"""Any picture people have, made right for the model, with a report of what was done."""
