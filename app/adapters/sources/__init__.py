"""Where pictures that are only named in a request come from: HTTP and S3."""
