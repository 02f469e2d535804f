import { DescribeImagesCommand } from '@aws-sdk/client-ec2'

import { LaunchError } from '../../src/model/host-handler.ts'
import type { Ec2 } from './client.ts'

/** Of an AMI, what a launch must know. */
export interface MachineImage {
  readonly id: string
  readonly architecture: string
  readonly rootDevice: string
  /** GiB; undefined where the image does not say. */
  readonly rootSize: number | undefined
  readonly bootModes: readonly ('uefi' | 'legacy-bios')[]
}

/** @throws LaunchError `invalid-request` in plain words when the image is not there or not usable. */
export async function findImage(ec2: Ec2, id: string, signal: AbortSignal): Promise<MachineImage> {
  if (!/^ami-[0-9a-z]+$/.test(id)) {
    throw new LaunchError('invalid-request', `"${id}" is no AMI id: the region's image must be like ami-0ab1`)
  }
  // By a filter: an image that is missing is then an empty answer.
  const { Images = [] } = await ec2.sendHarmless(
    'read',
    () => new DescribeImagesCommand({ Filters: [{ Name: 'image-id', Values: [id] }] }),
    signal,
  )
  const image = Images.find((one) => one.ImageId === id)
  const where = `image ${id} in ${ec2.region}`
  if (image === undefined) {
    const words = `there is no ${where}, or this account may not use it: copy it there or share it`
    throw new LaunchError('invalid-request', words)
  }
  if (image.State !== 'available') {
    throw new LaunchError('invalid-request', `${where} is ${image.State ?? 'in no state'}, not available`)
  }
  const rootDevice = image.RootDeviceName
  if (rootDevice === undefined || image.RootDeviceType === 'instance-store') {
    throw new LaunchError('invalid-request', `${where} has no EBS root volume, which could be encrypted`)
  }
  const root = image.BlockDeviceMappings?.find((one) => one.DeviceName === rootDevice)
  return {
    id,
    architecture: image.Architecture ?? 'x86_64',
    rootDevice,
    rootSize: root?.Ebs?.VolumeSize,
    bootModes:
      image.BootMode === 'uefi'
        ? ['uefi']
        : image.BootMode === 'uefi-preferred'
          ? ['uefi', 'legacy-bios']
          : ['legacy-bios'],
  }
}
