"""An image-native REST service in front of Llama 3.2 Vision on Amazon Bedrock."""

__version__ = "0.1.0"
