"""The dropout observatory: pseudonymous cases, what was known of them and when, and their way back."""
