"""Pure translation between the domain and Bedrock's JSON and event streams."""
