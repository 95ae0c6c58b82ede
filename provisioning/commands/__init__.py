"""The technician's commands, a file for each noun; what they do is done by the modules below."""
