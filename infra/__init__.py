"""The CDK app: one stack, and a file for each function that says what the function may do."""
