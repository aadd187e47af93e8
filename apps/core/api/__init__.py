"""What every endpoint shares: problem documents, fields, paging, parsing, throttling, OpenAPI."""
