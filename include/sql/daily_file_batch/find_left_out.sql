-- The orders and the registered customers of the business date that cannot go into the files, and why. NaN is
-- above all numbers. Parameters: business_date, begins_at, ends_at (of that day), email_pattern, email_width,
-- order_number_width, most_value.
create temp table left_out on commit drop as
select
    judged.record_kind,
    judged.record_id,
    judged.reason,
    judged.detail
from (
    select
        r.record_kind,
        r.record_id,
        r.code as detail,
        case
            when r.customer_id is null then 'order_without_customer'
            when c.customer_id is null then 'customer_missing'
            when c.reason is not null then c.reason
            when r.record_kind = 'customer' then null
            when
                char_length(r.code) > %(order_number_width)s
                -- The first test, which is cheap, is met by little but blanks.
                or (coalesce(r.code, '') collate "C" < '!' and coalesce(btrim(r.code), '') = '')
                then 'invalid_order_number'
            when
                r.total_value not between -%(most_value)s and %(most_value)s
                or r.items_value not between -%(most_value)s and %(most_value)s
                or r.discount_value not between -%(most_value)s and %(most_value)s
                or r.shipping_value not between -%(most_value)s and %(most_value)s
                then 'invalid_order_value'
        end as reason
    from (
        select
            'order' as record_kind,
            order_id as record_id,
            customer_id,
            code,
            total_value,
            items_value,
            discount_value,
            shipping_value
        from erp.sales_order
        where ordered_on = %(business_date)s
        union all
        select
            'customer' as record_kind,
            customer_id as record_id,
            customer_id,
            null as code,
            null as total_value,
            null as items_value,
            null as discount_value,
            null as shipping_value
        from erp.customer
        where created_at >= %(begins_at)s and created_at < %(ends_at)s
    ) as r
    left join (
        select
            customer_id,
            case
                when email ~ %(email_pattern)s and octet_length(btrim(email)) <= %(email_width)s then null
                when btrim(email) <> '' then 'invalid_email'
                else 'no_email'
            end as reason
        from erp.customer
    ) as c on r.customer_id = c.customer_id
) as judged
where judged.reason is not null
