"""Rotina: CRM background routines and customer messages, run by Apache Airflow."""
