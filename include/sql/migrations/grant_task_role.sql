-- Give the role that tasks run as its rights: read the ERP, work in crm, own nothing. No parameters.
do $$
begin
    if not exists (select from pg_roles where rolname = 'rotina_task') then
        create role rotina_task login;
    end if;
    if exists (select from pg_namespace where nspname = 'erp') then
        grant usage on schema erp to rotina_task;
        grant select on all tables in schema erp to rotina_task;
    end if;
end
$$;
grant usage on schema crm to rotina_task;
grant select, insert, update, delete on all tables in schema crm to rotina_task;
revoke insert, update, delete on crm.schema_version from rotina_task;
grant usage on all sequences in schema crm to rotina_task;
grant execute on all functions in schema crm to rotina_task;
