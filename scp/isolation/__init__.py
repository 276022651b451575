"""Work that may hang, crash or eat the memory, done where it can do no harm.

``run(function, job, limits, cancelled)`` is an iterator over what ``function(job)`` yields in another
process; to close the iterator is to cancel the work. ``scp.isolation.local`` has the disposable child on
this machine, ``scp.isolation.budget`` the memory that all children share. Nothing here knows what the
work is.
"""
