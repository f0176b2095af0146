// Stand-ins for LiteRT's Kotlin API, with its signatures: models are run by a program of the host's, which reads
// FILE.fed and writes FILE.answer0, FILE.answer1, …
package com.google.ai.edge.litert

import android.content.res.AssetManager
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder.LITTLE_ENDIAN

enum class Accelerator { NONE, CPU, GPU, NPU }

abstract class JniHandle : AutoCloseable {
    private var destroyed = false

    protected fun assertNotDestroyed() = check(!destroyed) { "The handle has been destroyed." }

    final override fun close() {
        destroyed = true
        opened.remove(this)
    }

    init {
        opened += this
    }

    companion object {
        /** What nobody has closed yet. */
        val opened = mutableSetOf<JniHandle>()
    }
}

class TensorBuffer internal constructor() : JniHandle() {
    internal var bytes = byteArrayOf()
    internal var isWhole = false

    fun writeFloat(data: FloatArray) {
        assertNotDestroyed()
        val buffer = ByteBuffer.allocate(4 * data.size).order(LITTLE_ENDIAN)
        buffer.asFloatBuffer().put(data)
        bytes = buffer.array()
        isWhole = false
    }

    fun writeInt8(data: ByteArray) {
        assertNotDestroyed()
        bytes = data.copyOf()
        isWhole = true
    }

    fun readFloat(): FloatArray {
        assertNotDestroyed()
        check(!isWhole) { "a tensor of whole numbers is read as floats" }
        val values = ByteBuffer.wrap(bytes).order(LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(values.remaining()).also { values.get(it) }
    }

    fun readInt8(): ByteArray {
        assertNotDestroyed()
        check(isWhole) { "a tensor of floats is read as whole numbers" }
        return bytes.copyOf()
    }
}

class CompiledModel private constructor(private val file: File) : JniHandle() {
    class Options(internal vararg val accelerators: Accelerator)

    @JvmOverloads
    @Suppress("UNUSED_PARAMETER")
    fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf(TensorBuffer())

    @JvmOverloads
    @Suppress("UNUSED_PARAMETER")
    fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> =
        List(System.getProperty("outputs").toInt()) { TensorBuffer() }

    @JvmOverloads
    @Suppress("UNUSED_PARAMETER")
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0) {
        assertNotDestroyed()
        File("$file.fed").writeBytes(inputs.single().bytes)
        val command = listOf(System.getProperty("python"), System.getProperty("runner"), file.path)
        check(ProcessBuilder(command).inheritIO().start().waitFor() == 0) { "the model was not run" }
        for ((number, output) in outputs.withIndex()) {
            output.bytes = File("$file.answer$number").readBytes()
            output.isWhole = inputs.single().isWhole
        }
    }

    companion object {
        @JvmStatic
        fun create(assetManager: AssetManager, assetName: String, options: Options): CompiledModel {
            require(options.accelerators.single() == Accelerator.CPU)
            return CompiledModel(File(assetManager.folder, assetName))
        }
    }
}
