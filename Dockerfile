# The image of every Rotina service (docker-compose.yaml): Airflow with the pinned packages, the DAGs and the package
# they import. It holds no secret, and runs as a user without rights.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/rotina/plugins:/opt/rotina \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/rotina/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/rotina/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False

# The folders are the mount points of volumes, which take their owner from here.
RUN useradd --uid 50000 --no-create-home --home-dir /opt/airflow rotina \
    && install --directory --owner=rotina /opt/airflow /opt/airflow/logs /opt/airflow/auth /opt/airflow/files

WORKDIR /opt/rotina
COPY requirements.txt constraints.txt ./
RUN pip install --no-cache-dir --requirement requirements.txt --constraint constraints.txt

COPY include include
COPY plugins plugins
COPY dags dags
RUN python -m compileall -q dags plugins

USER rotina
EXPOSE 8080
CMD ["airflow", "version"]
