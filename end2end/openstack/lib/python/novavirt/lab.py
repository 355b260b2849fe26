"""Nova's fake hypervisor with a real root disk for each instance.

fake.FakeDriver keeps instances in memory, and its snapshot() uploads nothing: the image stays "queued" for ever. This one keeps
a file for each instance that was booted from an image, fills it from Glance, uploads it at a snapshot, and knows the instances
again after a restart of nova-compute.
"""
import json
import os
import shutil

from oslo_config import cfg

from nova.compute import task_states
from nova.image import glance
from nova.virt import fake

CONF = cfg.CONF


class LabDriver(fake.FakeDriver):

    def __init__(self, virtapi, read_only=False):
        super().__init__(virtapi, read_only)
        self.root = os.path.join(CONF.state_path, 'instances')
        os.makedirs(self.root, exist_ok=True)
        self.images = glance.API()

    def _dir(self, uuid):
        return os.path.join(self.root, uuid)

    def _save(self, uuid):
        os.makedirs(self._dir(uuid), exist_ok=True)
        found = self.instances[uuid]
        with open(os.path.join(self._dir(uuid), 'instance.json'), 'w') as out:
            json.dump({'name': found.name, 'state': found.state}, out)

    def init_host(self, host):
        super().init_host(host)
        for uuid in os.listdir(self.root):
            try:
                with open(os.path.join(self._dir(uuid),
                                       'instance.json')) as data:
                    kept = json.load(data)
            except (OSError, ValueError):
                continue
            self.instances[uuid] = fake.FakeInstance(
                kept['name'], kept['state'], uuid)

    def spawn(self, context, instance, image_meta, injected_files,
              admin_password, allocations, network_info=None,
              block_device_info=None, power_on=True, accel_info=None):
        super().spawn(context, instance, image_meta, injected_files,
                      admin_password, allocations, network_info=network_info,
                      block_device_info=block_device_info, power_on=power_on,
                      accel_info=accel_info)
        self._save(instance.uuid)
        disk = os.path.join(self._dir(instance.uuid), 'disk')
        if instance.image_ref and not os.path.exists(disk):
            self.images.download(context, instance.image_ref, dest_path=disk)

    def power_on(self, context, instance, network_info,
                 block_device_info=None, accel_info=None):
        super().power_on(context, instance, network_info, block_device_info,
                         accel_info)
        self._save(instance.uuid)

    def power_off(self, instance, timeout=0, retry_interval=0):
        super().power_off(instance, timeout, retry_interval)
        self._save(instance.uuid)

    def destroy(self, context, instance, network_info, block_device_info=None,
                destroy_disks=True, destroy_secrets=True):
        super().destroy(context, instance, network_info, block_device_info,
                        destroy_disks, destroy_secrets)
        if destroy_disks:
            shutil.rmtree(self._dir(instance.uuid), ignore_errors=True)

    def snapshot(self, context, instance, image_id, update_task_state):
        disk = os.path.join(self._dir(instance.uuid), 'disk')
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        update_task_state(task_state=task_states.IMAGE_UPLOADING,
                          expected_state=task_states.IMAGE_PENDING_UPLOAD)
        image = self.images.get(context, image_id)
        metadata = {
            'status': 'active',
            'name': image['name'],
            'disk_format': 'raw',
            'container_format': 'bare',
            'properties': {
                'image_location': 'snapshot',
                'image_state': 'available',
                'owner_id': instance.project_id,
            },
        }
        with open(disk, 'rb') as data:
            self.images.update(context, image_id, metadata, data)
