"""The review interface in the browser: Streamlit pages over the service's HTTP API, and only that."""
