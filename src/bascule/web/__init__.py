"""What pages for people are made of: templates, headers, forms, cookies, sessions."""
