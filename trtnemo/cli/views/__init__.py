"""What commands print: tables of audits and plans, progress."""
