"""The coordinator: leases, catalogue and operators' calls over HTTP, for workers on other machines.

`app.create_app` builds the application from `services.Services`; `server.CoordinatorServer` runs it.
"""
