"""The load that Locust runs in the comparison with the lab: its faster user, without think time."""

from locust import FastHttpUser, constant, task


class Null(FastHttpUser):
    """Gets the root again and again."""

    wait_time = constant(0)

    @task
    def root(self) -> None:
        """Send one request."""
        self.client.get("/")
