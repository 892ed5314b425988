"""Amazon Bedrock behind `app.domain.ports`. Wire modules are pure; the rest only awaits."""
