"""The outbox: producers write messages, one engine sends them, nothing is lost and nothing sent twice."""
