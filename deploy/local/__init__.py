"""The embedded default: private PostgreSQL and RabbitMQ, two nodes."""
