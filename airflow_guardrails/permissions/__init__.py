"""The permissions of IAM that tasks need, from their arguments."""
