"""Single photos, answered at once: the HTTP endpoint with its page, and the AWS Lambda handler."""
