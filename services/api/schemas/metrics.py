"""What Prometheus asks for beside the figures."""

from pydantic import BaseModel, Field

from services.api.schemas.common import example


class TargetGroup(BaseModel):
    """Addresses to scrape, in the form of Prometheus's discovery by HTTP."""

    model_config = example(targets=["10.0.0.7:44217"], labels={"job": "ray"})

    targets: list[str] = Field(description="host and port of each")
    labels: dict[str, str]
