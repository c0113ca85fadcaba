"""Object stores by URL: where they are, how they are opened, what their errors mean."""
