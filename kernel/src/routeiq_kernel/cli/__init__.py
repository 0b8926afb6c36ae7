"""The `kernel` command. Modules here import nothing heavy at their top: every command pays for it."""
