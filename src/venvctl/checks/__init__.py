"""What `venvctl doctor` looks at, a module for each place; a check reads, and changes nothing."""
