"""The embedded environment of make up: PostgreSQL, mailbox, gateway simulator and Airflow on one machine."""
