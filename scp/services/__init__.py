"""DIMSE services, one a module: association events in, statuses out.

``dispatch.serve`` is the one entry; what services may use of the node is a ``context.ServiceContext``.
"""
