// Programs in JavaScript: the AWS SDK's client of KMS, and the AWS Encryption SDK on it.
import assert from 'node:assert/strict'
import { createHash, createPublicKey, verify } from 'node:crypto'
import test from 'node:test'
import { KMS, DisabledException, InvalidCiphertextException } from '@aws-sdk/client-kms'
import { buildClient, CommitmentPolicy, getClient, KmsKeyringNode } from '@aws-crypto/client-node'

const kms = new KMS({})
const secret = Buffer.from('attack at dawn, and bring the ladder')

test('the client of KMS', async () => {
  const { KeyMetadata: { Arn: KeyId } } = await kms.createKey({ Description: 'from JavaScript', Tags: [{ TagKey: 'team', TagValue: 'blue' }] })
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: secret, EncryptionContext: { tenant: '7' } })
  const { Plaintext } = await kms.decrypt({ CiphertextBlob, EncryptionContext: { tenant: '7' } })
  assert.deepEqual(Buffer.from(Plaintext), secret)
  await assert.rejects(kms.decrypt({ CiphertextBlob, EncryptionContext: { tenant: '8' } }), InvalidCiphertextException)
  await kms.disableKey({ KeyId })
  await assert.rejects(kms.encrypt({ KeyId, Plaintext: secret }), DisabledException)
})

test('a signature of KMS, verified by Node', async () => {
  const { KeyMetadata: { KeyId } } = await kms.createKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
  const { PublicKey } = await kms.getPublicKey({ KeyId })
  const { Signature } = await kms.sign({ KeyId, Message: createHash('sha256').update(secret).digest(), MessageType: 'DIGEST', SigningAlgorithm: 'ECDSA_SHA_256' })
  const key = createPublicKey({ key: Buffer.from(PublicKey), format: 'der', type: 'spki' })
  assert.ok(verify('sha256', secret, key, Signature))
})

test('the AWS Encryption SDK', async () => {
  const { KeyMetadata: { Arn } } = await kms.createKey({})
  const keyring = new KmsKeyringNode({ generatorKeyId: Arn, clientProvider: getClient(KMS, {}) })
  const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
  const { result } = await encrypt(keyring, secret, { encryptionContext: { tenant: '7' } })
  const { plaintext, messageHeader } = await decrypt(keyring, result)
  assert.deepEqual(Buffer.from(plaintext), secret)
  assert.equal(messageHeader.encryptionContext.tenant, '7')
})
