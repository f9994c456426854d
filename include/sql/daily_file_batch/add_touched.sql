-- Note the records whose lines are in one batch only; a line that changed is in both, and noted twice. A line
-- begins with its record. Parameters: feed, delimiter, registered_on (which column it is; 0: there is none).
insert into touched (feed, record, in_new, registered_on)
select
    %(feed)s,
    split_part(one.line, %(delimiter)s, 1) as record,
    one.in_new,
    case when %(registered_on)s > 0 then split_part(one.line, %(delimiter)s, %(registered_on)s) end
from (
    select
        true as in_new,
        line
    from (
        select line from new_line
        except all
        select line from earlier_line
    ) as added
    union all
    select
        false as in_new,
        line
    from (
        select line from earlier_line
        except all
        select line from new_line
    ) as removed
) as one
