-- How the runs of each routine went, by business date. Parameters: routines, from_on, to_on.
select
    routine,
    business_date,
    count(*) as runs,
    count(*) filter (where status = 'failed') as failed,
    (array_agg(status order by id desc))[1] as status,
    max(id) as run_id
from crm.run
where routine = any(%(routines)s) and business_date between %(from_on)s and %(to_on)s
group by routine, business_date
