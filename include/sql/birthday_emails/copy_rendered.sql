-- Take rendered e-mails. No parameters.
copy rendered (account_id, greeted_id, payload, problem) from stdin
