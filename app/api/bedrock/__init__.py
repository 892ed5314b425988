"""Amazon Bedrock's own wire, for programs that use an AWS SDK."""
