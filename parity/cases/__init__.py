"""Cases: verdicts that failed, shrunk to what matters, kept in files and judged again."""
