-- Who receives the summary of a run: the asker if known and active, else the recipients of the routine, else
-- those of all routines. Parameters: asked_by, routine.
with asker as (
    select name, email from crm.app_user where login = %(asked_by)s and active
),

configured as (
    select routine, email from crm.routine_recipient where routine in (%(routine)s, '*')
)

select name, email from asker
union all
select null, email from configured
where
    not exists (select from asker)
    and (routine <> '*' or not exists (select from configured as own where own.routine <> '*'))
order by 2
