"""Amazon Bedrock's own wire format, for programs that use an AWS SDK."""
