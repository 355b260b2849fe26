# Sourced by `up`: the configuration of every service, written into STATE/etc. Time limits are generous: compilers may be
# running beside. Quotas leave room for a hundred instances.

database() { echo "mysql+pymysql://lab:$LAB_PASSWORD@127.0.0.1:$DATABASE_PORT/$1?charset=utf8"; }

service_auth() {
  cat <<C
auth_type = password
auth_url = $AUTH_URL
username = service
password = $LAB_PASSWORD
project_name = service
user_domain_id = default
project_domain_id = default
region_name = RegionOne
C
}

# token_check TYPE: the type of service that access rules are matched against. A revoked token is noticed after five seconds.
token_check() {
  cat <<C
[keystone_authtoken]
www_authenticate_uri = $AUTH_URL
service_type = $1
service_token_roles = service
service_token_roles_required = true
token_cache_time = 5
$(service_auth)
C
}

bus_and_log() {
  cat <<C
transport_url = rabbit://guest:guest@127.0.0.1:$BUS_PORT/
rpc_response_timeout = 180
use_json = false
default_log_levels = amqp=WARN,oslo.messaging=WARN,oslo_messaging=WARN,urllib3=WARN,stevedore=WARN,keystonemiddleware=WARN
C
}

configure() {
  local name
  for name in etc keystone/{fernet,credential} glance/{images,cache,staging,tasks,lock} neutron/lock nova/{instances,lock} \
    cinder/{volumes,conversion,lock} rabbitmq; do
    mkdir -p "$STATE/$name"
  done
  chmod 700 "$STATE"/keystone/{fernet,credential}

  cat >"$STATE/etc/keystone.conf" <<C
[database]
connection = $(database keystone)
[token]
provider = fernet
[fernet_tokens]
key_repository = $STATE/keystone/fernet
[fernet_receipts]
key_repository = $STATE/keystone/fernet
[credential]
key_repository = $STATE/keystone/credential
[identity]
password_hash_rounds = 4
# More than half of all work would be Keystone's: it answers every call's token again and again.
[cache]
enabled = true
backend = dogpile.cache.memory
[oslo_messaging_notifications]
driver = noop
C

  cat >"$STATE/etc/placement.conf" <<C
[placement_database]
connection = $(database placement)
[api]
auth_strategy = keystone
$(token_check placement)
C

  cat >"$STATE/etc/glance-api.conf" <<C
[DEFAULT]
bind_host = 127.0.0.1
bind_port = $GLANCE_PORT
workers = 1
enabled_backends = lab:file
image_cache_dir = $STATE/glance/cache
[database]
connection = $(database glance)
[paste_deploy]
flavor = keystone
config_file = $LIB/paste/glance.ini
[glance_store]
default_backend = lab
[lab]
filesystem_store_datadir = $STATE/glance/images
[os_glance_staging_store]
filesystem_store_datadir = $STATE/glance/staging
[os_glance_tasks_store]
filesystem_store_datadir = $STATE/glance/tasks
[oslo_concurrency]
lock_path = $STATE/glance/lock
[oslo_messaging_notifications]
driver = noop
$(token_check image)
C

  cat >"$STATE/etc/neutron.conf" <<C
[DEFAULT]
$(bus_and_log)
bind_host = 127.0.0.1
bind_port = $NEUTRON_PORT
api_workers = 1
rpc_workers = 0
rpc_state_report_workers = 0
state_path = $STATE/neutron
api_paste_config = $LIB/paste/neutron.ini
core_plugin = ml2
service_plugins =
auth_strategy = keystone
dhcp_agent_notification = false
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[database]
connection = $(database neutron)
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers = lab
extension_drivers = port_security
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 0
[oslo_concurrency]
lock_path = $STATE/neutron/lock
$(token_check network)
C

  cat >"$STATE/etc/nova.conf" <<C
[DEFAULT]
$(bus_and_log)
host = lab-compute
my_ip = 127.0.0.1
state_path = $STATE/nova
enabled_apis = osapi_compute
osapi_compute_listen = 127.0.0.1
osapi_compute_listen_port = $NOVA_PORT
osapi_compute_workers = 1
compute_driver = lab.LabDriver
sync_power_state_interval = -1
service_down_time = 180
[api]
auth_strategy = keystone
[api_database]
connection = $(database nova_api)
[database]
connection = $(database nova)
[wsgi]
api_paste_config = $LIB/paste/nova.ini
[conductor]
workers = 1
[scheduler]
workers = 1
[quota]
instances = 500
cores = 500
ram = -1
[vnc]
enabled = false
[glance]
api_servers = http://127.0.0.1:$GLANCE_PORT
[cinder]
catalog_info = volumev3:cinderv3:publicURL
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 0
[oslo_concurrency]
lock_path = $STATE/nova/lock
[service_user]
send_service_user_token = true
$(service_auth)
[placement]
$(service_auth)
[neutron]
$(service_auth)
$(token_check compute)
C

  cat >"$STATE/etc/cinder.conf" <<C
[DEFAULT]
$(bus_and_log)
host = lab
my_ip = 127.0.0.1
state_path = $STATE/cinder
auth_strategy = keystone
api_paste_config = $LIB/paste/cinder.ini
resource_query_filters_file = $LIB/paste/cinder_resource_filters.json
osapi_volume_listen = 127.0.0.1
osapi_volume_listen_port = $CINDER_PORT
osapi_volume_workers = 1
glance_api_servers = http://127.0.0.1:$GLANCE_PORT
enabled_backends = lab
image_conversion_dir = $STATE/cinder/conversion
periodic_interval = 5
backend_stats_polling_interval = 5
service_down_time = 180
quota_volumes = 500
quota_snapshots = 1000
quota_gigabytes = 5000
[lab]
volume_driver = lab_volume.FileDriver
volume_backend_name = lab
[database]
connection = $(database cinder)
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 0
[oslo_concurrency]
lock_path = $STATE/cinder/lock
[service_user]
send_service_user_token = true
$(service_auth)
[nova]
$(service_auth)
$(token_check volumev3)
C
  chmod 600 "$STATE"/etc/*.conf
}
