-- Name every account that would change, and why it is left alone. Parameters: run_id, reason.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
with title (status, word) as (
    values ('active', 'ativa'), ('inactive', 'inativa'), ('not_integrated', 'não integrada')
),

explained as (
    select
        account_id,
        from_status,
        to_status,
        coalesce(
            case reason
                when 'movement' then 'último movimento em '
                when 'no_movement' then 'último movimento em '
                when 'adhesion_in_force' then 'adesão em vigor até '
                when 'adhesion_ended' then 'adesão encerrada em '
            end || to_char(reason_on, 'DD/MM/YYYY'),
            case reason
                when 'never_moved' then 'nunca teve movimento'
                when 'adhesion_in_force' then 'adesão em vigor'
                when 'adhesion_ended' then 'adesão encerrada'
                when 'no_adhesion' then 'sem adesão'
                when 'not_linked' then 'sem cliente no ERP'
                when 'customer_missing' then 'o cliente não existe no ERP'
            end
        ) as why
    from change
)

select
    %(run_id)s,
    'account',
    c.account_id::text,
    'skipped',
    %(reason)s,
    'de ' || old.word || ' para ' || new.word || ': ' || c.why
from explained as c
inner join title as old on c.from_status = old.status
inner join title as new on c.to_status = new.status
