"""What the API takes and answers, as pydantic models, one file a resource."""
