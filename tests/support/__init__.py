"""What several tests share: a folder for each topic."""
