"""How gunicorn runs the gateway: one process of many threads; most of them wait for workers or for event streams."""

from services.gateway.guarding.encryption import of_gunicorn
from services.gateway.guarding.reserve import RESERVE
from services.logs import configure
from services.settings.service import Environment, GatewaySettings, Home

_environment = Environment.of_process()
_settings = _environment.load(GatewaySettings)
configure(_environment.load(Home))

worker_class = "services.gateway.gunicorn_worker.Worker"
workers = 1
threads = 2 * _settings.gateway_threads + RESERVE
"""As many as are served at once, as many that wait for a moment, and those that say how things are (services.gateway.guarding.reserve)."""
timeout = 60
graceful_timeout = 8
keepalive = 75  # Longer than proxies keep an idle connection (nginx and most load balancers: 60 s), or they would meet a closed one.
limit_request_line, limit_request_fields, limit_request_field_size = 4094, 64, 8190
sendfile = False
forwarded_allow_ips = ""
"""Nobody: whom to believe what proxies say is the application's business (COLEGA_TRUSTED_PROXIES)."""
ssl_context = of_gunicorn
accesslog = None
errorlog = "-"
loglevel = "warning"
logger_class = "services.gateway.observing.lines.Lines"
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn's heartbeat file; nothing is kept in it.
control_socket_disable = True
